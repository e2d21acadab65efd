;; The largest memory that 32-bit addresses reach, with a byte at its last address.
(module
  (memory 65536 65536)
  (data (i32.const 0xffffffff) "z"))
