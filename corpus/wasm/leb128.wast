;; Integers with unused bytes, which are allowed, and with too many bytes or bits.
(module binary "\00asm\01\00\00\00" "\05\8b\80\80\80\00\81\80\80\80\00\00\81\80\80\80\00" "\0b\99\80\80\80\00\81\80\80\80\00\80\80\80\80\00A\83\80\80\80\00\0b\83\80\80\80\00abc") ;; all padded
(module binary "\00asm\01\00\00\00" "\05\8c\80\80\80\00\01\04\81\80\80\80\80\80\80\80\80\00" "\0b\12\01\00B\83\80\80\80\80\80\80\80\80\00\0b\03abc") ;; padded to ten bytes
(module binary "\00asm\01\00\00\00" "\05\05\01\00\80\80\04" "\0b\15\02\00A\ff\ff\ff\ff\7f\0b\01a\00A\80\80\80\80x\0b\01b") ;; -1 and the least of 32 bits
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\83\80\80\80\80\00\01\00\01") "a size of six bytes")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\83\80\80\80\10\01\00\01") "a size of 33 bits")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\08\81\80\80\80\80\00\00\01") "a count of six bytes")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\08\01\00\82\80\80\80\80\00") "a minimum of six bytes")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\07\01\00\82\80\80\80\10") "a minimum of 33 bits")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\0d\01\04\82\80\80\80\80\80\80\80\80\80\00") "a minimum of eleven bytes")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\0c\01\04\82\80\80\80\80\80\80\80\80\02") "a minimum of 65 bits")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\0b\01\80\80\80\80\80\00A\00\0b\00") "a flag of six bytes")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\0c\01\02\80\80\80\80\80\00A\00\0b\00") "an index of six bytes")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\0b\01\00A\80\80\80\80\80\00\0b\00") "an i32 of six bytes")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\0a\01\00A\ff\ff\ff\ff\0f\0b\00") "an i32 of another sign")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\0a\01\00A\80\80\80\80p\0b\00") "unused bits unlike the sign")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\04\01" "\0b\0f\01\00B\80\80\80\80\80\80\80\80\80~\0b\00") "an i64 of eleven bytes")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\04\01" "\0b\0f\01\00B\ff\ff\ff\ff\ff\ff\ff\ff\ff\01\0b\00") "an i64 of another sign")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\0b\01\00A\00\0b\80\80\80\80\80\00") "a length of six bytes")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\0a\01\00A\00\0b\80\80\80\80\10") "a length of 33 bits")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0c\06\80\80\80\80\80\00" "\0b\01\00") "a data count of six bytes")
