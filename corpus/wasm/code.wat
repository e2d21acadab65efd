;; Code, a table, elements and a start function, all of which are skipped.
(module
  (type $binary (func (param i32 i32) (result i32)))
  (import "env" "log" (func $log (param i32)))
  (table 2 2 funcref)
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (export "add" (func $add))
  (start $init)
  (elem (i32.const 0) $add $init)
  (func $add (type $binary)
    (i32.add (local.get 0) (local.get 1)))
  (func $init
    (i32.store (i32.const 100) (call $add (i32.const 1) (i32.const 2)))
    (call $log (i32.load (i32.const 100))))
  (data (i32.const 11) "\0b\0b\41\00\0b"))
