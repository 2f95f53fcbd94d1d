/*---
id: c3b52c6f-06d1-452b-ace9-2989a9e2d27d
title: Process opened by code that belongs to no module
description: >-
  The call that opened the other process came from memory that no file on disk stands behind, as with injected
  or reflectively loaded code. Just-in-time compilers look the same; so only rights to write, to duplicate
  handles or to do anything are looked for.
status: test
level: medium
tags: [attack.defense-evasion, attack.t1055]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - '.NET programs, among them PowerShell scripts that list handles.'
entity: [Computer, SourceImage]
tests:
  - name: 'injected code, loaded module, harmless right'
    given:
      - {activity: 'access', Computer: 'ws1', SourceImage: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', TargetImage: 'C:\Windows\system32\lsass.exe', GrantedAccess: '0x40', CallTrace: 'C:\Windows\SYSTEM32\ntdll.dll+9c584|UNKNOWN(00007FFA1B2C3D4E)'}
      - {activity: 'access', Computer: 'ws2', SourceImage: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', TargetImage: 'C:\Windows\system32\lsass.exe', GrantedAccess: '0x40', CallTrace: 'C:\Windows\SYSTEM32\ntdll.dll+9c584|C:\Windows\System32\KERNELBASE.dll+305fe'}
      - {activity: 'access', Computer: 'ws3', SourceImage: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', TargetImage: 'C:\Windows\system32\lsass.exe', GrantedAccess: '0x1000', CallTrace: 'C:\Windows\SYSTEM32\ntdll.dll+9c584|UNKNOWN(00007FFA1B2C3D4E)'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, SourceUser, SourceImage, SourceProcessId, TargetImage, TargetProcessId, GrantedAccess, CallTrace
FROM   process_access
WHERE  activity = 'access' AND CallTrace ILIKE '%UNKNOWN(%'
  AND  GrantedAccess IN ('0x40', '0x1478', '0x1438', '0x143a', '0x1f0fff', '0x1f1fff', '0x1f3fff', '0x1fffff')
  AND  TargetImage ILIKE '%\\windows\\%'
