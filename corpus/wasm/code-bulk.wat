;; A data count section, because code names data.
(module
  (memory 1)
  (data $a (i32.const 7) "active")
  (data $p "passive")
  (func (export "init") (param i32)
    (memory.init $p (local.get 0) (i32.const 0) (i32.const 7))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 4))
    (memory.copy (i32.const 8) (i32.const 0) (i32.const 4))
    (data.drop $p)))
