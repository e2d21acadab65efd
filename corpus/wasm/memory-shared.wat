;; A shared memory, as threads use, and passive data that the program copies itself.
(module
  (memory 1 4 shared)
  (data $tls "\01\02\03\04")
  (func (export "start")
    (memory.init $tls (i32.const 64) (i32.const 0) (i32.const 4))
    (data.drop $tls)))
