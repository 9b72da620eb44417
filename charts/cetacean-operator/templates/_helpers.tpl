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
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cetacean-operator.labels" -}}
{{ include "cetacean-operator.selectorLabels" . }}
{{ include "cetacean-operator.releaseLabels" . }}
{{- end }}

{{- define "cetacean-operator.releaseLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
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
- name: CETACEAN_OPERATOR_LEASE_NAME
  value: {{ include "cetacean-operator.fullname" . }}
- name: CETACEAN_OPERATOR_LEASE_OWNER
  value: {{ include "cetacean-operator.fullname" . }}
- name: CETACEAN_OPERATOR_LEASE_DURATION
  value: {{ .Values.leaderElection.leaseDuration | toJson | quote }}
- name: CETACEAN_OPERATOR_LEASE_RENEW_DEADLINE
  value: {{ .Values.leaderElection.renewDeadline | toJson | quote }}
- name: CETACEAN_OPERATOR_LEASE_RETRY_PERIOD
  value: {{ .Values.leaderElection.retryPeriod | toJson | quote }}
{{- end }}
{{- end }}

{{/* How an endpoint is scraped, from the values of a monitor. */}}
{{- define "cetacean-operator.scrape" -}}
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
