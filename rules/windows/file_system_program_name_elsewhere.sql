/*---
id: 27538baf-8f47-4667-9e98-8e88cdd3f35c
title: File with the name of a system process outside the system folder
description: >-
  A program file is named like a process of Windows, or nearly so, but does not lie where Windows has it. The
  name is meant to be overlooked in a list of processes.
status: test
level: high
tags: [attack.defense-evasion, attack.t1036.005]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer, TargetFilename]
tests:
  - name: 'in a profile, in place, another name'
    given:
      - {activity: 'create', Computer: 'ws1', TargetFilename: 'C:\Users\k.tanaka\AppData\Roaming\svchosts.exe', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe'}
      - {activity: 'create', Computer: 'ws2', TargetFilename: 'C:\Windows\System32\svchost.exe', Image: 'C:\Windows\servicing\TrustedInstaller.exe'}
      - {activity: 'create', Computer: 'ws3', TargetFilename: 'C:\Users\k.tanaka\AppData\Roaming\editor.exe', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, TargetFilename, CreationUtcTime, Hashes
FROM   file_activity
WHERE  activity = 'create'
  AND  TargetFilename ~* '\\(svchosts?|scvhost|svhost|lsas|lsass|csrss|winlogon|services|smss|wininit|spoolsv|explorer|taskhostw|dllhost|conhost)\.exe$'
  AND  TargetFilename NOT ILIKE 'C:\\Windows\\%'
  AND  TargetFilename NOT ILIKE 'C:\\$%'
