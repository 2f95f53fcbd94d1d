/*---
id: ee6af76d-1fa3-4752-b27a-6d0fa6d2dbf1
title: Script allocates memory for native code
description: >-
  A script asks Windows for memory that code can run in, or makes a function out of an address: how native
  code is run from a script without a file.
status: test
level: high
tags: [attack.defense-evasion, attack.t1620, attack.t1055]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer]
tests:
  - name: memory and mail
    given:
      - {EventID: 4103, Computer: 'ws1', Payload: 'CommandInvocation(Add-Member): name="VirtualAlloc"'}
      - {EventID: 4104, Computer: 'ws2', ScriptBlockText: 'Send-MailMessage -To ops@example.com'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, EventID, ScriptBlockText, Payload, Path
FROM   script_activity
WHERE  ScriptBlockText ~* '(virtualalloc|getdelegateforfunctionpointer|createremotethread|writeprocessmemory|minidumpwritedump)'
   OR  Payload ~* '(virtualalloc|getdelegateforfunctionpointer|createremotethread|writeprocessmemory|minidumpwritedump)'
