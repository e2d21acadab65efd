;; Data sections cut off, and segments of no known kind.
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\06\01\03A\00\0b\00") "flag 3")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\06\01\7fA\00\0b\00") "flag 127")
(assert_invalid (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\07\01\02\01A\00\0b\00") "no memory 1")
(assert_invalid (module binary "\00asm\01\00\00\00" "\0b\06\01\00A\00\0b\00") "no memory at all")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\06\02\00A\00\0b\00") "a count too high")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\05\ff\ff\ff\ff\0f") "the highest count")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\09\01\00A\00\0b\04abc") "a length past the section")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\0d\01\00A\00\0b\ff\ff\ff\ff\0fabc") "the largest length")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\02\00\00") "bytes left over")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0c\01\01") "a data count, and no data")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0c\01\02" "\0b\03\01\01\00") "another data count")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0c\01\00" "\0b\03\01\01\00") "a data count of 0")
(module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b\0d\01\82\80\00\80\00A\80\00\0b\81\00x") ;; all padded
(module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0c\01\00") ;; a data count of 0, and no data
(module binary "\00asm\01\00\00\00" "\0b\0a\01\01\07passive") ;; passive, without a memory
