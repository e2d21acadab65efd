;; A tag section, which stands between memories and globals.
(module
  (tag $e (param i32 i64))
  (memory 1)
  (global $g i32 (i32.const 40))
  (func (throw $e (i32.const 1) (i64.const 2)))
  (data (global.get $g) "behind a tag"))
