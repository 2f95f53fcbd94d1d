/*---
id: d5d9358b-de59-477d-8de3-d12e0a602126
title: 'PowerShell library loaded by a program in a user''s folder'
description: >-
  A program under C:\Users, ProgramData or a folder for temporary files loads the library that PowerShell
  consists of.
status: test
level: high
tags: [attack.execution, attack.t1059.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer, Image]
tests:
  - name: a program on the desktop and the interpreter
    given:
      - {Computer: 'ws1', Image: 'C:\Users\a\Desktop\a.exe', ImageLoaded: 'C:\Windows\assembly\NativeImages_v4.0.30319_64\System.Manaa57fc8cc#\2b59\System.Management.Automation.ni.dll'}
      - {Computer: 'ws2', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', ImageLoaded: 'C:\Windows\assembly\NativeImages_v4.0.30319_64\System.Manaa57fc8cc#\2b59\System.Management.Automation.ni.dll'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, ImageLoaded, Signed, Signature, SignatureStatus, Hashes
FROM   module_activity
WHERE  ImageLoaded ILIKE '%System.Management.Automation%.dll'
  AND  (Image ILIKE 'C:\\Users\\%' OR Image ILIKE 'C:\\ProgramData\\%' OR Image ILIKE '%\\Temp\\%')
