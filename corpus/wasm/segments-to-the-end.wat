;; A segment that ends with the memory.
(module
  (memory 1)
  (data (i32.const 65533) "end"))
