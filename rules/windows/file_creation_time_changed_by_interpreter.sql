/*---
id: b20e0d39-f086-482c-8870-775e989a9b31
title: Creation time of a file changed by an interpreter
description: >-
  PowerShell or a program from a user's folder set back the creation time of a file, as is done to hide a new
  file among old ones.
status: test
level: medium
tags: [attack.defense-evasion, attack.t1070.006]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Programs that unpack archives.
entity: [Computer, TargetFilename]
tests:
  - name: 'set back, set forward, by a browser'
    given:
      - {activity: 'set_time', Computer: 'ws1', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', TargetFilename: 'C:\Windows\a.dll', CreationUtcTime: '2019-01-01 00:00:00.000', PreviousCreationUtcTime: '2026-10-03 01:02:03.456'}
      - {activity: 'set_time', Computer: 'ws2', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', TargetFilename: 'C:\Windows\a.dll', CreationUtcTime: '2026-10-03 01:02:03.456', PreviousCreationUtcTime: '2019-01-01 00:00:00.000'}
      - {activity: 'set_time', Computer: 'ws3', Image: 'C:\Program Files\Browser\browser.exe', TargetFilename: 'C:\Users\a\x.tmp', CreationUtcTime: '2019-01-01 00:00:00.000', PreviousCreationUtcTime: '2026-10-03 01:02:03.456'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, TargetFilename, CreationUtcTime, PreviousCreationUtcTime
FROM   file_activity
WHERE  activity = 'set_time' AND CreationUtcTime < PreviousCreationUtcTime
  AND  (Image ILIKE '%\\powershell.exe' OR Image ILIKE '%\\cmd.exe' OR Image ILIKE '%\\rundll32.exe'
     OR Image ILIKE '%\\Users\\%\\Downloads\\%' OR Image ILIKE '%\\Users\\%\\Desktop\\%' OR Image ILIKE '%\\Temp\\%')
