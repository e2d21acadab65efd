;; No bytes, but past the end: a trap all the same.
(module
  (memory 1)
  (data (i32.const 65537) ""))
