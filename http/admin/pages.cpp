#include "http/admin/pages.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "http/serve/json_route.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/routes.hpp"

namespace signalbox::http {

namespace embedded_pages {
extern const std::span<const std::pair<std::string_view, std::string_view>> files;
}

namespace {

std::string_view type_of(std::string_view file) {
  if (file.ends_with(".css")) return "text/css; charset=utf-8";
  if (file.ends_with(".js")) return "text/javascript; charset=utf-8";
  return "text/html; charset=utf-8";
}

// A page loads nothing from other sites, runs nothing inline and is shown in no frame, because it
// may show text from strangers. (There is no Strict-Transport-Security: it would apply to all ports
// of the host, and neighbours of the gateway, such as Grafana, often have no TLS.)
void answer_page(const responder& reply, std::string_view file, std::string_view text) {
  reply.answer(200, type_of(file), std::string(text),
               {{"Content-Security-Policy",
                 "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                 "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors "
                 "'none'"},
                {"X-Frame-Options", "DENY"},
                {"Referrer-Policy", "no-referrer"},
                {"Cross-Origin-Opener-Policy", "same-origin"},
                {"Cross-Origin-Resource-Policy", "same-origin"},
                {"Cache-Control", "no-cache"}});
}

void show_file(shard& home, const routed_request& request, std::string_view name) {
  const auto reply = reply_to(home, request);
  const auto& files = embedded_pages::files;
  const auto found =
      std::find_if(files.begin(), files.end(), [&](const auto& one) { return one.first == name; });
  if (found == files.end()) return reply.refuse(error_code::not_found, "There is no such page.");
  answer_page(reply, found->first, found->second);
}

}  // namespace

void show_docs(shard& home, routed_request request) {
  show_file(home, request, "docs.html");
}

void show_docs_file(shard& home, routed_request request) {
  show_file(home, request, parameter_of(request));
}

}  // namespace signalbox::http
