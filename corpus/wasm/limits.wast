;; Limits of memories, in every encoding.
(module binary "\00asm\01\00\00\00" "\05\08\01\01\80\80\04\80\80\04") ;; the most that 32 bits reach
(module binary "\00asm\01\00\00\00" "\05\0a\01\05\00\80\80\80\80\80\80@") ;; the most that 64 bits reach
(module binary "\00asm\01\00\00\00" "\05\04\01\03\00\01") ;; shared
(module binary "\00asm\01\00\00\00" "\05\04\01\07\00\01") ;; shared, 64-bit
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\10\01") "flag 16")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\04\01\80\00\01") "a flag is no integer of several bytes")
(assert_invalid (module binary "\00asm\01\00\00\00" "\05\03\01\02\01") "shared without a maximum")
(assert_invalid (module binary "\00asm\01\00\00\00" "\05\03\01\06\01") "shared, 64-bit, without a maximum")
(assert_invalid (module binary "\00asm\01\00\00\00" "\05\04\01\01\02\01") "a minimum above the maximum")
(assert_invalid (module binary "\00asm\01\00\00\00" "\05\05\01\00\81\80\04") "65537 pages")
(assert_invalid (module binary "\00asm\01\00\00\00" "\05\06\01\01\00\81\80\04") "a maximum of 65537 pages")
(assert_invalid (module binary "\00asm\01\00\00\00" "\05\09\01\04\81\80\80\80\80\80@") "2^48 + 1 pages")
(assert_invalid (module binary "\00asm\01\00\00\00" "\05\0c\01\04\ff\ff\ff\ff\ff\ff\ff\ff\ff\01") "2^64 - 1 pages")
(module binary "\00asm\01\00\00\00" "\05\09\01\04\80\80\80\80\80\80@") ;; 2^48 pages are valid, and 2^64 bytes
(module binary "\00asm\01\00\00\00" "\05\0b\02\00\01\04\80\80\80\80\80\80@") ;; and of another memory
