;; Later segments lie over earlier ones.
(module
  (memory 1)
  (data (i32.const 10) "aaaaaaaa")
  (data (i32.const 12) "bbbb")
  (data (i32.const 8) "cccc")
  (data (i32.const 13) "d"))
