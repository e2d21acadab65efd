;; 64-bit addresses, and a segment beyond 4 GiB.
(module
  (memory i64 65537)
  (data (i64.const 0x100000000) "beyond")
  (data (i64.const 0) "begin"))
