# signalbox_embed(OUT NAMESPACE FILE...): writes OUT, a C++ source that defines in NAMESPACE
#   extern const std::string_view <symbol>;   for each FILE: its name with _ for . and -, and with
#                                             an f before it when it begins with a digit
#   extern const std::span<const std::pair<std::string_view, std::string_view>> files;
#                                             name and content of all of them, in the order given
# so that the binary needs no files beside it. Made again when a FILE changes.
function(signalbox_embed out namespace)
  set(pair "std::pair<std::string_view, std::string_view>")
  string(CONCAT text "// Made by cmake/Embed.cmake.\n#include <array>\n#include <span>\n"
    "#include <string_view>\n#include <utility>\nnamespace ${namespace} {\n")
  set(list "")
  set(count 0)
  foreach(file ${ARGN})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME)
    string(REGEX REPLACE "[^A-Za-z0-9]" "_" symbol ${name})
    if(symbol MATCHES "^[0-9]")
      set(symbol "f${symbol}")
    endif()
    file(READ ${file} content)
    string(APPEND text "extern const std::string_view ${symbol};\n"
      "constexpr std::string_view ${symbol} = R\"embedded(${content})embedded\";\n")
    string(APPEND list "  ${pair}{\"${name}\", ${symbol}},\n")
    math(EXPR count "${count} + 1")
  endforeach()
  string(APPEND text "static constexpr std::array<${pair}, ${count}> file_list{{\n${list}}};\n"
    "extern const std::span<const ${pair}> files;\n"
    "constexpr std::span<const ${pair}> files{file_list};\n}  // namespace ${namespace}\n")
  file(CONFIGURE OUTPUT ${out} CONTENT "@text@" @ONLY)
endfunction()
