;; 64-bit addresses.
(module
  (memory i64 1 5)
  (data (i64.const 8) "eight")
  (data (i64.const 65535) "e"))
