;; What a C compiler makes: an exported memory, a stack pointer, read-only data at 1024.
(module
  (memory (export "memory") 2)
  (global $sp (mut i32) (i32.const 66592))
  (global (export "__data_end") i32 (i32.const 1040))
  (data $.rodata (i32.const 1024) "hello, world\0a\00")
  (data $.data (i32.const 1040) "\01\00\00\00\02\00\00\00"))
