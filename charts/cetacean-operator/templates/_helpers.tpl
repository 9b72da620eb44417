{{/* Truncated, because templates append a suffix such as -metrics. */}}
{{- define "cetacean-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains "cetacean-operator" .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-cetacean-operator" (.Release.Name | trunc 32 | trimSuffix "-") }}
{{- end }}
{{- end }}

{{/* Cannot be overridden: network policies of models admit pods with this name. */}}
{{- define "cetacean-operator.selectorLabels" -}}
app.kubernetes.io/name: cetacean-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "cetacean-operator.labels" -}}
{{ include "cetacean-operator.labelsWith" (dict "root" . "own" (include "cetacean-operator.selectorLabels" .)) }}
{{- end }}

{{/*
The labels of an object, each key once: the chart's own, then `more`, then the values' commonLabels.
  root: the chart's context. own: the labels by which others select the object, as YAML. more: a map of more specific labels.
*/}}
{{- define "cetacean-operator.labelsWith" -}}
{{- with .root }}
{{- $own := printf "%s\n%s" $.own (include "cetacean-operator.releaseLabels" .) }}
{{- $given := deepCopy .Values.commonLabels }}
{{- /* Not by `merge`, which takes an empty value for none. */}}
{{- range $name, $value := $.more }}{{ $_ := set $given $name $value }}{{ end }}
{{- range $name, $_ := fromYaml $own }}{{ $_ := unset $given $name }}{{ end }}
{{- $own }}
{{- with $given }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "cetacean-operator.releaseLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "cetacean-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "cetacean-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "cetacean-operator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* The settings as environment variables. With toJson, because a large number is otherwise written as 1.048576e+06. */}}
{{- define "cetacean-operator.settings" -}}
{{- range $key, $value := .Values.settings }}
- name: CETACEAN_OPERATOR_{{ $key | snakecase | upper }}
  value: {{ $value | toJson | trimAll "\"" | quote }}
{{- end }}
- name: CETACEAN_OPERATOR_RUNBOOK_URL
  value: {{ .Values.runbookUrl | quote }}
{{- with .Values.watchNamespaces }}
- name: CETACEAN_OPERATOR_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
- name: CETACEAN_OPERATOR_LEADER_ELECTION
  value: {{ .Values.leaderElection.enabled | quote }}
{{- if .Values.leaderElection.enabled }}
{{- with .Values.leaderElection }}
{{- $deadline := float64 .renewDeadline }}
{{- if not (and (lt (mulf 1.2 .retryPeriod | float64) $deadline) (lt $deadline (float64 .leaseDuration))) }}
{{- printf "leaderElection: expected 1.2 x retryPeriod < renewDeadline < leaseDuration, got %v / %v / %v" .retryPeriod .renewDeadline .leaseDuration | fail }}
{{- end }}
{{- end }}
- name: CETACEAN_OPERATOR_LEASE_NAME
  value: {{ include "cetacean-operator.fullname" . | quote }}
- name: CETACEAN_OPERATOR_LEASE_OWNER
  value: {{ include "cetacean-operator.fullname" . | quote }}
- name: CETACEAN_OPERATOR_LEASE_DURATION
  value: {{ .Values.leaderElection.leaseDuration | toJson | quote }}
- name: CETACEAN_OPERATOR_LEASE_RENEW_DEADLINE
  value: {{ .Values.leaderElection.renewDeadline | toJson | quote }}
- name: CETACEAN_OPERATOR_LEASE_RETRY_PERIOD
  value: {{ .Values.leaderElection.retryPeriod | toJson | quote }}
{{- end }}
{{- end }}

{{/* A duration in milliseconds. Without leading zeros, as int64 takes 010 for an octal number. */}}
{{- define "cetacean-operator.milliseconds" -}}
{{- $sum := 0 }}
{{- $units := dict "h" 3600000 "m" 60000 "s" 1000 "ms" 1 }}
{{- range regexFindAll "[0-9]+[a-z]+" . -1 }}
{{- $sum = add $sum (mul (regexFind "[1-9][0-9]*" . | int64) (get $units (regexFind "[a-z]+" .))) }}
{{- end }}
{{- $sum }}
{{- end }}

{{/* How an endpoint is scraped, from the values of a monitor and their path. */}}
{{- define "cetacean-operator.scrape" -}}
{{- if gt (include "cetacean-operator.milliseconds" .scrapeTimeout | int64) (include "cetacean-operator.milliseconds" .interval | int64) }}
{{- printf "%s.scrapeTimeout: expected at most the interval, %s, got %s: lower it, or raise the interval" .path .interval .scrapeTimeout | fail }}
{{- end -}}
path: /metrics
interval: {{ .interval }}
scrapeTimeout: {{ .scrapeTimeout }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
