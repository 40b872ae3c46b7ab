# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# What the agents of dom0 and of the other domains share. A request is a script with an identifier;
# it runs on its own, so that one that hangs does not stop the agent.

AGENT_DIR=/run/lab
AGENT_OUTPUT_MAX=262144

agent_run() { # ID: runs ID.sh; output in ID.out, status in ID.rc
	sh "$AGENT_DIR/$1.sh" >"$AGENT_DIR/$1.out" 2>&1 </dev/null
	echo $? >"$AGENT_DIR/$1.rc"
	rm -f "$AGENT_DIR/$1.sh"
}

agent_encode() { # ID WIDTH: the end of the output, in lines of that many base64 digits
	tail -c "$AGENT_OUTPUT_MAX" "$AGENT_DIR/$1.out" | base64 -w "$2"
}

agent_forget() { rm -f "$AGENT_DIR/$1".*; }
