{{- define "operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "operator.selector" -}}
app.kubernetes.io/name: rocketmq-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/part-of: rocketmq
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "operator.image" -}}
{{- $image := .Values.image -}}
{{- $path := $image.repository -}}
{{- if $image.registry -}}{{- $path = printf "%s/%s" $image.registry $image.repository -}}{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $path $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $path (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "operator.defaultImage" -}}
{{- $path := .name -}}
{{- if .images.registry -}}{{- $path = printf "%s/%s" .images.registry .name -}}{{- end -}}
{{- printf "%s:%s" $path (default .version .images.tag) -}}
{{- end -}}

{{/* What the operator does within a namespace that it watches. */}}
{{- define "operator.rules" -}}
- apiGroups: [rocketmq.rs]
  resources: [rocketmqclusters]
  # patch takes annotations away that were meant for one time.
  verbs: [get, list, watch, patch]
- apiGroups: [rocketmq.rs]
  resources: [rocketmqclusters/status]
  verbs: [get, patch]
- apiGroups: [rocketmq.rs]
  resources: [rocketmqclusters/finalizers]
  # Where owner references that block deletion are checked.
  verbs: [update]
- apiGroups: [""]
  resources: [services, configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  # By name only: nothing else in the namespace is read.
  verbs: [get, create]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  # Never delete: that is left to people, and to the StatefulSets of clusters that ask for it.
  verbs: [get, list, watch, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
