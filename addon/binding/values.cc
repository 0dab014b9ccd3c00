// Checks and conversions at the border to JS.
#include "values.h"

#include "squashfs/plain.h"

namespace {

constexpr double largest_safe = 9007199254740991.0;

[[noreturn]] void refuse(Napi::Env env, const char *name, const char *expected)
{
	throw Napi::TypeError::New(env, std::string(name) + ": expected " + expected);
}

double to_integer(const Napi::Object &object, const char *name)
{
	Napi::Value value = object.Get(name);
	if (!value.IsNumber())
		refuse(object.Env(), name, "a number");
	double number = value.As<Napi::Number>().DoubleValue();
	if (!(number >= -largest_safe && number <= largest_safe) || number != static_cast<double>(static_cast<int64_t>(number)))
		refuse(object.Env(), name, "a safe integer");
	return number;
}

} // namespace

uint64_t to_unsigned(const Napi::Object &object, const char *name, uint64_t most)
{
	double number = to_integer(object, name);
	if (number < 0 || static_cast<uint64_t>(number) > most)
		refuse(object.Env(), name, "a number in its range");
	return static_cast<uint64_t>(number);
}

int64_t to_signed(const Napi::Object &object, const char *name)
{
	return static_cast<int64_t>(to_integer(object, name));
}

bool to_bool(const Napi::Object &object, const char *name)
{
	return object.Get(name).ToBoolean().Value();
}

std::string to_text(const Napi::Value &value, const char *name)
{
	if (!value.IsString())
		refuse(value.Env(), name, "a string");
	std::string text = value.As<Napi::String>().Utf8Value();
	if (text.find('\0') != std::string::npos)
		refuse(value.Env(), name, "a string without NUL bytes");
	return text;
}

std::string to_text(const Napi::Object &object, const char *name)
{
	return to_text(object.Get(name), name);
}

int to_key(const Napi::Object &object)
{
	if (object.Get("key").IsUndefined())
		return SING_NO_KEY;
	return static_cast<int>(to_unsigned(object, "key", INT32_MAX));
}

std::string to_bytes(const Napi::Value &value, const char *name)
{
	if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
		refuse(value.Env(), name, "a Uint8Array");
	auto array = value.As<Napi::Uint8Array>();
	return std::string(reinterpret_cast<const char *>(array.Data()), array.ByteLength());
}

Napi::Error to_error(Napi::Env env, const sing_failure &failure)
{
	std::string reason = sing_reason(failure.reason);
	Napi::Error error = Napi::Error::New(env, std::string("cannot ") + failure.action + " " + failure.path + ": " + reason);
	error.Set("action", Napi::String::New(env, failure.action));
	error.Set("path", Napi::String::New(env, failure.path));
	error.Set("reason", Napi::String::New(env, reason));
	if (failure.reason > 0)
		error.Set("errno", Napi::Number::New(env, failure.reason));
	else if (const char *name = sing_reason_name(failure.reason))
		error.Set("code", Napi::String::New(env, name));
	return error;
}
