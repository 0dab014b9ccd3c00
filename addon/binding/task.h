// Work for a thread of the engine's pool, as a promise.
#ifndef SING_TASK_H
#define SING_TASK_H

#include <napi.h>

#include <functional>
#include <utility>

#include "squashfs/failure.h"
#include "values.h"

// Runs `work` on a thread, where it must not touch JS, and settles the promise with what `result` makes of it: rejected when the
// failure has a reason. What the two functions captured lives until then.
class Task : public Napi::AsyncWorker {
public:
	using Work = std::function<void(sing_failure &)>;
	using Result = std::function<Napi::Value(Napi::Env)>;

	static Napi::Promise Run(Napi::Env env, Work work, Result result)
	{
		auto *task = new Task(env, std::move(work), std::move(result));
		Napi::Promise promise = task->deferred_.Promise();
		task->Queue(); // deletes itself when it is done
		return promise;
	}

protected:
	void Execute() override
	{
		work_(failure_);
		if (failure_.reason != 0)
			SetError("failed"); // the real one is made where JS may be touched
	}

	void OnOK() override
	{
		Napi::HandleScope scope(Env());
		deferred_.Resolve(result_(Env()));
	}

	// Without a failure it was an exception: the memory of a C++ container.
	void OnError(const Napi::Error &error) override
	{
		Napi::HandleScope scope(Env());
		deferred_.Reject(failure_.reason != 0 ? to_error(Env(), failure_).Value() : error.Value());
	}

private:
	Task(Napi::Env env, Work work, Result result)
	    : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)),
	      result_(std::move(result))
	{
	}

	Napi::Promise::Deferred deferred_;
	Work work_;
	Result result_;
	sing_failure failure_{};
};

#endif
