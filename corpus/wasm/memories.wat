;; Three memories, each with data of its own, in no order.
(module
  (memory $a 1)
  (memory $b 2 2)
  (memory $c 0)
  (data (memory $b) (i32.const 65536) "of b")
  (data (memory $a) (i32.const 0) "of a")
  (data (memory $c) (i32.const 0) "")
  (data (memory $a) (i32.const 2) "a again"))
