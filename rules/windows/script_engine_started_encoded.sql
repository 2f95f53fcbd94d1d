/*---
id: 906d60dd-b773-4a91-85d4-88a5c4fe32ea
title: PowerShell engine started with an encoded command
description: >-
  The older PowerShell log notes each start of an engine with its command line. This one hands over a base64
  script.
status: test
level: medium
tags: [attack.execution, attack.t1059.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer]
tests:
  - name: encoded and plain
    given:
      - {EventID: 400, Computer: 'ws1', Data: 'Engine state is changed from None to Available. HostApplication=powershell -noP -sta -w 1 -enc SQBGACgAJABQ'}
      - {EventID: 400, Computer: 'ws2', Data: 'Engine state is changed from None to Available. HostApplication=powershell.exe -File a.ps1'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, EventID, Data
FROM   script_activity
WHERE  EventID = 400 AND Data ~* 'HostApplication=[^\r\n]*\s-e(c|n[a-z]*)?\s+[a-z0-9+/=]{8,}'
