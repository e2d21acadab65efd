;; What is no core module, or ends too early to tell.
(assert_malformed (module binary ) "empty")
(assert_malformed (module binary "\00as") "magic, cut off")
(assert_malformed (module binary "\00asm\01\00") "version, cut off")
(assert_malformed (module binary "\7fELF\01\01\01\00") "another format")
(assert_malformed (module binary "(module\20(memory\201))") "text")
(assert_malformed (module binary "\20\0a;;\20text") "text behind blanks")
(assert_malformed (module binary "\00asm\0d\00\01\00") "a component")
(assert_malformed (module binary "\00asm\02\00\00\00") "version 2")
(assert_malformed (module binary "\00asm\01\01\00\00") "version 257")
(module binary "\00asm\01\00\00\00") ;; nothing but a header
