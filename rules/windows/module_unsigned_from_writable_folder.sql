/*---
id: d5084ef7-5db1-4c81-8950-5a80c9ee37a7
title: Unsigned library loaded from a folder that users can write
description: >-
  A process loaded a library or program that nobody signed, from a folder that needs no administrator to
  write.
status: test
level: medium
tags: [attack.defense-evasion, attack.t1574.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - In-house software without a signature.
entity: [Computer, Image]
tests:
  - name: 'unsigned in ProgramData, signed there, unsigned elsewhere'
    given:
      - {activity: 'load_library', Computer: 'ws1', Image: 'C:\Windows\SysWOW64\rundll32.exe', ImageLoaded: 'C:\ProgramData\a.cpl', Signed: false}
      - {activity: 'load_library', Computer: 'ws2', Image: 'C:\Windows\notepad.exe', ImageLoaded: 'C:\ProgramData\Microsoft\Windows Defender\MpOAV.dll', Signed: true}
      - {activity: 'load_library', Computer: 'ws3', Image: 'C:\Windows\notepad.exe', ImageLoaded: 'C:\Windows\assembly\a.ni.dll', Signed: false}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, ImageLoaded, Signed, Signature, SignatureStatus, Hashes
FROM   module_activity
WHERE  activity = 'load_library' AND Signed = false
  AND  (ImageLoaded ILIKE 'C:\\Users\\%' OR ImageLoaded ILIKE 'C:\\ProgramData\\%' OR ImageLoaded ILIKE '%\\Temp\\%')
