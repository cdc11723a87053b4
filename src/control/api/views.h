// The state of an instance as JSON documents of the admin API. Field names are stable: added to, never renamed. All run
// on control's main thread (inside Controller::call).
//
// Numbers are JSON numbers, with units in their names (_ms, _us, _bytes); ids of connections are 16 hexadecimal digits,
// since JavaScript can't hold them as numbers; what is unknown is null.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/controller.h"

namespace millrace::control::api {

using Json = nlohmann::ordered_json;

Json status(Controller& controller);
Json listeners(Controller& controller);
Json backends(Controller& controller);
Json servers(Controller& controller);
Json workers(Controller& controller);
Json routes(Controller& controller);
Json certificates(Controller& controller);
Json stats(Controller& controller);
Json effective_config(Controller& controller);

Json diagnostics(const std::vector<Diagnostic>& list);

}  // namespace millrace::control::api
