/*---
id: 7797ae69-cb05-4eac-8b26-1bf942223d83
title: Elevation refused by the consent dialogue
description: >-
  Somebody gave a wrong password, or an account that may not, when Windows asked for an administrator. Once is
  a slip; many are an attempt.
status: test
level: low
tags: [attack.credential-access, attack.t1110]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Mistyped passwords.
entity: [Computer, user]
tests:
  - name: 'refused, granted, and refused elsewhere'
    given:
      - {outcome: 'failure', LogonProcessName: 'CredPro', Computer: 'ws1', user: 'WS1\admin', LogonType: 2}
      - {outcome: 'success', LogonProcessName: 'CredPro', Computer: 'ws2', user: 'WS2\admin', LogonType: 2}
      - {outcome: 'failure', LogonProcessName: 'NtLmSsp ', Computer: 'ws3', user: 'WS3\admin', LogonType: 3}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, user, LogonType, Status, SubStatus, ProcessName, SubjectUserName
FROM   authentication
WHERE  outcome = 'failure' AND LogonProcessName = 'CredPro'
