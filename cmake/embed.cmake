# bl2mqtt_embed(TARGET SYMBOL FILE): compiles FILE into TARGET as
#   const unsigned char SYMBOL[] (NUL-terminated) and const size_t SYMBOL_size (without the NUL).
function(bl2mqtt_embed target symbol file)
  get_filename_component(path ${file} ABSOLUTE)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  file(READ ${path} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
  set(output ${CMAKE_CURRENT_BINARY_DIR}/embedded_${symbol}.c)
  file(CONFIGURE OUTPUT ${output} CONTENT
"#include <stddef.h>
extern const unsigned char ${symbol}[];
extern const size_t ${symbol}_size;
const unsigned char ${symbol}[] = {\n@bytes@0x00};
const size_t ${symbol}_size = sizeof(${symbol}) - 1;
" @ONLY)
  target_sources(${target} PRIVATE ${output})
endfunction()
