#include "actors/shell.hpp"

#include <spdlog/spdlog.h>

#include <exception>

namespace signalbox {

void end_on_exception(caf::scheduled_actor* self, std::string name) {
  self->set_exception_handler([name = std::move(name)](std::exception_ptr& problem) {
    try {
      std::rethrow_exception(problem);
    } catch (const std::exception& e) {
      spdlog::error("actor {} ends: {}", name, e.what());
    } catch (...) {
      spdlog::error("actor {} ends: unknown exception", name);
    }
    return caf::make_error(caf::sec::runtime_error);
  });
}

}  // namespace signalbox
