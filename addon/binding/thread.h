// Work that waits for others, on a thread of its own, as a promise. The engine's pool has few threads, and those who bring what
// is waited for may need them.
#ifndef SING_THREAD_H
#define SING_THREAD_H

#include <napi.h>

#include <cerrno>
#include <functional>
#include <utility>

#include "squashfs/failure.h"
#include "squashfs/queue.h"
#include "values.h"

// Like Task in task.h: `work` must not touch JS; what the two functions captured lives until the promise settles.
class Thread {
public:
	using Work = std::function<void(sing_failure &)>;
	using Result = std::function<Napi::Value(Napi::Env)>;

	static Napi::Promise Run(Napi::Env env, Work work, Result result)
	{
		auto *thread = new Thread(env, std::move(work), std::move(result));
		Napi::Promise promise = thread->deferred_.Promise();
		pthread_t id;
		int error = sing_thread_start(&id, Main, thread);
		if (error != 0) {
			sing_fail(&thread->failure_, error, "start", "");
			thread->deferred_.Reject(to_error(env, thread->failure_).Value());
			thread->settle_.Release();
			delete thread;
		}
		return promise;
	}

private:
	Thread(Napi::Env env, Work work, Result result)
	    : deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)), result_(std::move(result))
	{
		auto nothing = Napi::Function::New(env, [](const Napi::CallbackInfo &) {});
		settle_ = Napi::ThreadSafeFunction::New(env, nothing, "sing", 0, 1);
	}

	static void *Main(void *user)
	{
		auto *thread = static_cast<Thread *>(user);
		pthread_detach(pthread_self());
		thread->work_(thread->failure_);
		Napi::ThreadSafeFunction settle = thread->settle_;
		settle.BlockingCall(thread, Settle); // deletes it
		settle.Release();
		return nullptr;
	}

	static void Settle(Napi::Env env, Napi::Function, Thread *thread)
	{
		if (thread->failure_.reason != 0)
			thread->deferred_.Reject(to_error(env, thread->failure_).Value());
		else
			thread->deferred_.Resolve(thread->result_(env));
		delete thread;
	}

	Napi::Promise::Deferred deferred_;
	Napi::ThreadSafeFunction settle_;
	Work work_;
	Result result_;
	sing_failure failure_{};
};

#endif
