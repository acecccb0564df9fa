{{- define "sftrun.fullname" -}}
{{- if contains "sftrun-operator" .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-sftrun-operator" .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sftrun.selector" -}}
app.kubernetes.io/name: sftrun-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sftrun.labels" -}}
{{ include "sftrun.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: sftrun
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "sftrun.serviceAccount" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "sftrun.fullname" . -}}
{{- else -}}
{{- fail "serviceAccount.create is false: name the account to use in serviceAccount.name" -}}
{{- end -}}
{{- end -}}

{{/* Called with (list image appVersion). */}}
{{- define "sftrun.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default (index . 1) $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* All that the operator may do. What is not here it cannot do: read a Secret, change a Job or a
     ConfigMap that exists. */}}
{{- define "sftrun.rules" -}}
- apiGroups: [sftrun.dev]
  resources: [sftruns]
  verbs: [get, list, watch]
- apiGroups: [sftrun.dev]
  resources: [sftruns/status]
  verbs: [patch]
- apiGroups: [sftrun.dev]
  resources: [sftruns/finalizers]  # nothing can be sent there: OwnerReferencesPermissionEnforcement asks for it
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create]
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
{{- end -}}
