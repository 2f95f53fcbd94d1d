/*---
id: 3fbbb2d0-3d99-4103-b7cd-208855047f7d
title: Program started from a downloads or desktop folder
description: >-
  A program runs from a folder that users save downloads and attachments in. Installed software does not live
  there.
status: test
level: medium
tags: [attack.execution, attack.t1204.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Portable tools and installers that users start themselves.
entity: [Computer, User]
tests:
  - name: 'from Downloads, and from where programs belong'
    given:
      - {activity: 'launch', Computer: 'ws1', Image: 'C:\Users\sato\Downloads\invoice.exe'}
      - {activity: 'terminate', Computer: 'ws1', Image: 'C:\Users\sato\Downloads\invoice.exe'}
      - {activity: 'launch', Computer: 'ws2', Image: 'C:\Program Files\Editor\editor.exe'}
      - {activity: 'launch', Computer: 'ws3', Image: 'C:\Users\sato\AppData\Local\Microsoft\Teams\current\Teams.exe'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  activity = 'launch'
  AND  (Image ILIKE 'C:\\Users\\%\\Downloads\\%' OR Image ILIKE 'C:\\Users\\%\\Desktop\\%' OR Image ILIKE 'C:\\Users\\Public\\%'
     OR Image ILIKE 'C:\\TMP\\%' OR Image ILIKE 'C:\\Windows\\Temp\\%' OR Image ILIKE 'C:\\PerfLogs\\%')
