/*---
id: befef21c-089c-405e-bc6e-cbb4e5fccba8
title: 'Script switches off PowerShell''s logging or scanning'
description: >-
  A script block reaches into PowerShell's own classes to switch off the scan by antivirus or the logging of
  script blocks.
status: test
level: critical
tags: [attack.defense-evasion, attack.t1562.001, attack.t1562.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer]
tests:
  - name: 'in one word, in pieces, and talk about it'
    given:
      - {EventID: 4104, Computer: 'ws1', ScriptBlockText: '[Ref].Assembly.GetType(''System.Management.Automation.AmsiUtils'')'}
      - {EventID: 4104, Computer: 'ws2', ScriptBlockText: '$Ref=[REF].AssEMbLy.GeTType(''System.Management.Automation.Amsi''+''Utils'')'}
      - {EventID: 4104, Computer: 'ws3', ScriptBlockText: 'Get-MpComputerStatus | Select AMServiceEnabled'}
    expect:
      - {Computer: 'ws1'}
      - {Computer: 'ws2'}
---*/
SELECT Computer, User, EventID, ScriptBlockText, Payload, Path
FROM   script_activity
WHERE  ScriptBlockText ~* 'amsi(''\s*\+\s*'')?(utils|initf)'
   OR  ScriptBlockText ILIKE '%cachedGroupPolicySettings%'
   OR  ScriptBlockText ILIKE '%AmsiScanBuffer%'
