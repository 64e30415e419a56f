# SPDX-License-Identifier: Apache-2.0
# cmake -DPARE=binary -DOUT=folder -P generate.cmake: runs `pare help --man` and `--completion`, keeps what it prints.
# A binary that cannot do it (yet) is no error: then there is nothing to install.
file(MAKE_DIRECTORY ${OUT})

function(generate name)
  execute_process(COMMAND ${PARE} help ${ARGN} OUTPUT_VARIABLE text ERROR_QUIET RESULT_VARIABLE rc)
  if(rc EQUAL 0 AND text)
    file(WRITE ${OUT}/${name} "${text}")
  else()
    file(REMOVE ${OUT}/${name})
  endif()
endfunction()

generate(pare.1 --man)
generate(pare.bash --completion bash)
generate(_pare --completion zsh)
generate(pare.fish --completion fish)
file(WRITE ${OUT}/stamp "")
