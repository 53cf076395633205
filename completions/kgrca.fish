complete --keep-order --exclusive --command kgrca --arguments "(COMPLETE=fish kgrca -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
