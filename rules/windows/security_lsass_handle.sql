/*---
id: 137ba040-bdf2-4829-8f06-21973e3618e2
title: LSASS opened for reading according to the Security log
description: >-
  With auditing of kernel objects, the Security log notes who opens the process that holds the credentials
  with the right to read its memory.
status: test
level: high
tags: [attack.credential-access, attack.t1003.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Endpoint protection; inventory through WMI.
entity: [Computer, ProcessName]
tests:
  - name: a tool and a query
    given:
      - {EventID: 4663, Computer: 'ws1', ObjectType: 'Process', ObjectName: '\Device\HarddiskVolume2\Windows\System32\lsass.exe', AccessMask: '0x10', ProcessName: 'C:\Temp\a.exe'}
      - {EventID: 4656, Computer: 'ws2', ObjectType: 'Process', ObjectName: '\Device\HarddiskVolume2\Windows\System32\lsass.exe', AccessMask: '0x1000', ProcessName: 'C:\Windows\System32\svchost.exe'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, SubjectUserName, SubjectDomainName, ProcessName, ProcessId, ObjectName, AccessMask
FROM   windows_security
WHERE  EventID IN (4656, 4663) AND ObjectType = 'Process' AND ObjectName ILIKE '%\\lsass.exe'
  AND  AccessMask IN ('0x10', '0x1010', '0x1410', '0x143a', '0x1fffff')
  AND  ProcessName NOT ILIKE '%\\Sysmon%.exe'
