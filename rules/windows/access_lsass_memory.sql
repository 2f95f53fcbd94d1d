/*---
id: f3fddb49-5916-44b2-816c-baa4b2bcfd0d
title: Process opened LSASS with the right to read its memory
description: >-
  LSASS holds the credentials of everybody who is logged on. Reading its memory is how they are stolen. Rights
  that include reading and rights to everything are looked for; programs of Windows that need them are left
  out.
status: test
level: high
tags: [attack.credential-access, attack.t1003.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Antivirus and endpoint protection; add their paths.
entity: [Computer, SourceImage]
tests:
  - name: 'reading memory, asking for a name, another target'
    given:
      - {activity: 'access', Computer: 'ws1', SourceImage: 'C:\Users\a\AppData\Roaming\x.exe', TargetImage: 'C:\Windows\system32\lsass.exe', GrantedAccess: '0x1410'}
      - {activity: 'access', Computer: 'ws2', SourceImage: 'C:\Windows\System32\svchost.exe', TargetImage: 'C:\Windows\system32\lsass.exe', GrantedAccess: '0x1000'}
      - {activity: 'access', Computer: 'ws3', SourceImage: 'C:\Users\a\AppData\Roaming\x.exe', TargetImage: 'C:\Windows\explorer.exe', GrantedAccess: '0x1410'}
    expect:
      - {Computer: 'ws1', GrantedAccess: '0x1410'}
---*/
SELECT Computer, SourceUser, SourceImage, SourceProcessId, TargetImage, TargetProcessId, GrantedAccess, CallTrace
FROM   process_access
WHERE  activity = 'access' AND TargetImage ILIKE '%\\lsass.exe'
  AND  GrantedAccess IN ('0x1010', '0x1410', '0x1418', '0x1438', '0x143a', '0x1f0fff', '0x1f1fff', '0x1f2fff', '0x1f3fff', '0x1fffff')
  AND  SourceImage NOT ILIKE '%\\wbem\\wmiprvse.exe'
  AND  SourceImage NOT ILIKE '%\\system32\\csrss.exe'
  AND  SourceImage NOT ILIKE '%\\system32\\wininit.exe'
  AND  SourceImage NOT ILIKE '%\\Windows Defender\\%\\MsMpEng.exe'
