/*---
id: 76c36048-53cf-4fe6-8d61-75bcc6969464
title: Members of a privileged group listed by a database tool
description: >-
  ntdsutil, esentutl or a program outside the Windows folder asked who is in Administrators or Backup
  Operators. The first two do so when they copy locked databases through a shadow copy.
status: test
level: medium
tags: [attack.discovery, attack.t1069.001, attack.credential-access, attack.t1003.003]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Backup software.
entity: [Computer, CallerProcessName]
tests:
  - name: a database tool and the consent dialogue
    given:
      - {EventID: 4799, Computer: 'dc1', TargetUserName: 'Backup Operators', CallerProcessName: 'C:\Windows\System32\ntdsutil.exe'}
      - {EventID: 4799, Computer: 'ws2', TargetUserName: 'Administrators', CallerProcessName: 'C:\Windows\System32\consent.exe'}
      - {EventID: 4799, Computer: 'ws3', TargetUserName: 'Users', CallerProcessName: 'C:\Temp\a.exe'}
    expect:
      - {Computer: 'dc1'}
---*/
SELECT Computer, SubjectUserName, SubjectDomainName, TargetUserName, CallerProcessName
FROM   windows_security
WHERE  EventID = 4799 AND TargetUserName IN ('Administrators', 'Backup Operators')
  AND  (CallerProcessName ILIKE '%\\ntdsutil.exe' OR CallerProcessName ILIKE '%\\esentutl.exe'
     OR CallerProcessName NOT ILIKE 'C:\\Windows\\%')
  AND  CallerProcessName <> '-'
