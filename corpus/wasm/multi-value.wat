;; Types with many results, blocks and loops: long type and code sections.
(module
  (type (func (param i32 i64 f32 f64) (result f64 f32 i64 i32)))
  (func (type 0)
    (local.get 3) (local.get 2) (local.get 1) (local.get 0))
  (func (result i32)
    (block (result i32)
      (loop (br_if 0 (i32.const 0)))
      (i32.const 11)))
  (memory 1)
  (data (i32.const 0) "blocks"))
