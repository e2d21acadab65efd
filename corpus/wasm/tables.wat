;; Tables and element segments of all kinds: expressions end with the same byte as offsets do.
(module
  (func $f)
  (table $t 11 11 funcref)
  (table $u 11 externref)
  (elem (table $t) (i32.const 11) func)
  (elem func $f $f)
  (elem declare func $f)
  (elem funcref (ref.null func) (ref.func $f))
  (memory 1)
  (data (i32.const 11) "data"))
