{{- define "cetacean-model.labels" -}}
app.kubernetes.io/name: cetacean-model
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "cetacean-model.name" -}}
{{- default .Release.Name .Values.name }}
{{- end }}
