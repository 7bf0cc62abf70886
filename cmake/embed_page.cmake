# bl2mqtt_embed_page(TARGET NAME=FILE...): compiles the files of a web page, compressed, into TARGET as the table
# `assets` of bridge/web/assets.h. The entity tag is the hash of what is in the file.
find_program(GZIP_PROGRAM gzip REQUIRED)

set(page_type_html "text/html; charset=utf-8")
set(page_type_css "text/css; charset=utf-8")
set(page_type_js "text/javascript; charset=utf-8")
set(page_type_txt "text/plain; charset=utf-8")
set(page_type_svg "image/svg+xml")
set(page_type_png "image/png")
set(page_type_webmanifest "application/manifest+json")

function(bl2mqtt_embed_page target)
  set(declarations "")
  set(rows "")
  list(SORT ARGN)
  foreach(pair ${ARGN})
    string(REGEX MATCH "^([^=]+)=(.*)$" unused ${pair})
    set(name ${CMAKE_MATCH_1})
    set(path ${CMAKE_MATCH_2})
    if(NOT EXISTS ${path})
      message(FATAL_ERROR "${path} is missing; scripts/install-dependencies installs what the build needs.")
    endif()
    string(REGEX MATCH "[a-z]+$" extension ${name})
    string(MAKE_C_IDENTIFIER "page_${name}" symbol)
    file(SHA256 ${path} hash)
    string(SUBSTRING ${hash} 0 16 hash)
    set(compressed ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.gz)
    # Anew only when it changed: otherwise all of them would be compiled again with each configuration.
    set(stamp ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.${hash})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    if(NOT EXISTS ${stamp} OR NOT EXISTS ${compressed})
      file(GLOB old ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.????????????????)
      if(old)
        file(REMOVE ${old})
      endif()
      execute_process(COMMAND ${GZIP_PROGRAM} -9nc ${path} OUTPUT_FILE ${compressed} COMMAND_ERROR_IS_FATAL ANY)
      file(TOUCH ${stamp})
    endif()
    bl2mqtt_embed(${target} ${symbol} ${compressed})
    string(APPEND declarations "extern const unsigned char ${symbol}[];\nextern const size_t ${symbol}_size;\n")
    string(APPEND rows
      "    {\"${name}\", \"${page_type_${extension}}\", \"\\\"${hash}\\\"\", ${symbol}, &${symbol}_size},\n")
  endforeach()
  set(output ${CMAKE_CURRENT_BINARY_DIR}/assets_table.c)
  file(CONFIGURE OUTPUT ${output} CONTENT
"#include \"bridge/web/assets.h\"
@declarations@
const struct asset assets[] = {
@rows@};
const size_t asset_count = sizeof assets / sizeof assets[0];
" @ONLY)
  target_sources(${target} PRIVATE ${output})
endfunction()
