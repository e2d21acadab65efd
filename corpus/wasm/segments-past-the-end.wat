;; A segment of which the last byte is outside.
(module
  (memory 1)
  (data (i32.const 0) "inside")
  (data (i32.const 65534) "out"))
