/*---
id: 2351eb8f-f05c-46ff-914f-2827c2c313d6
title: Program of the SyncAgent campaign opened LSASS
description: >-
  The campaign's program, svchosts.exe in a roaming profile, opened the process that holds the credentials.
status: test
level: critical
tags: [attack.credential-access, attack.t1003.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer]
tests:
  - name: the program and Windows
    given:
      - {activity: 'access', Computer: 'MIN-WS-014.ministry.example', SourceImage: 'C:\Users\k.tanaka\AppData\Roaming\svchosts.exe', TargetImage: 'C:\Windows\System32\lsass.exe', GrantedAccess: '0x1410'}
      - {activity: 'access', Computer: 'ws2', SourceImage: 'C:\Windows\System32\svchost.exe', TargetImage: 'C:\Windows\System32\lsass.exe', GrantedAccess: '0x1000'}
    expect:
      - {GrantedAccess: '0x1410'}
---*/
SELECT Computer, SourceUser, SourceImage, SourceProcessId, TargetImage, GrantedAccess
FROM   process_access
WHERE  activity = 'access' AND SourceImage ILIKE '%\\AppData\\Roaming\\svchosts.exe' AND TargetImage ILIKE '%\\lsass.exe'
