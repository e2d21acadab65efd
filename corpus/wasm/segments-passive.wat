;; Passive and active ones mixed.
(module
  (memory 1)
  (data "passive")
  (data (i32.const 3) "active")
  (data ""))
