// A plausible set of VS Code's theme variables, for the mock page only: Dark Modern, Light Modern, Dark High Contrast.
const fonts = { 'font-family': '"Segoe UI", Ubuntu, "DejaVu Sans", sans-serif', 'font-size': '13px', 'font-weight': 'normal', 'editor-font-family': 'monospace' };

const dark = {
  'foreground': '#cccccc', 'descriptionForeground': '#9d9d9d', 'errorForeground': '#f85149', 'editor-background': '#1f1f1f', 'editor-foreground': '#cccccc',
  'focusBorder': '#0078d4', 'panel-border': '#2b2b2b', 'editorGroup-border': '#ffffff17', 'button-background': '#0078d4', 'button-foreground': '#ffffff',
  'button-hoverBackground': '#026ec1', 'button-secondaryBackground': '#313131', 'button-secondaryForeground': '#cccccc', 'button-secondaryHoverBackground': '#3c3c3c',
  'button-border': '#ffffff12', 'input-background': '#313131', 'input-foreground': '#cccccc', 'input-border': '#3c3c3c', 'input-placeholderForeground': '#989898',
  'dropdown-background': '#313131', 'dropdown-border': '#3c3c3c', 'dropdown-foreground': '#cccccc', 'settings-dropdownListBorder': '#454545', 'checkbox-background': '#313131', 'checkbox-border': '#3c3c3c',
  'checkbox-foreground': '#cccccc', 'list-hoverBackground': '#2a2d2e', 'list-activeSelectionBackground': '#04395e', 'list-activeSelectionForeground': '#ffffff',
  'list-inactiveSelectionBackground': '#37373d', 'textLink-foreground': '#4daafc', 'textLink-activeForeground': '#4daafc', 'progressBar-background': '#0078d4',
  'editorHoverWidget-background': '#202020', 'editorHoverWidget-foreground': '#cccccc', 'editorHoverWidget-border': '#454545', 'widget-shadow': '#0000005c',
  'editorWarning-foreground': '#cca700', 'charts-blue': '#59a4f9', 'charts-orange': '#d18616', 'charts-green': '#369432', 'charts-purple': '#b180d7', 'charts-red': '#f14c4c', 'charts-yellow': '#cca700',
  'inputValidation-errorBackground': '#5a1d1d', 'inputValidation-errorBorder': '#be1100', 'inputValidation-infoBackground': '#063b49', 'inputValidation-infoBorder': '#007acc',
  'scrollbarSlider-background': '#79797966', 'scrollbarSlider-hoverBackground': '#646464b3', 'scrollbarSlider-activeBackground': '#bfbfbf66', 'editorWidget-background': '#202020',
  'badge-background': '#616161', 'badge-foreground': '#f8f8f8', 'panelTitle-activeBorder': '#0078d4', 'panelTitle-activeForeground': '#cccccc', 'panelTitle-inactiveForeground': '#9d9d9d',
};
const light = {
  ...dark, 'foreground': '#3b3b3b', 'descriptionForeground': '#3b3b3b', 'editor-background': '#ffffff', 'editor-foreground': '#3b3b3b', 'focusBorder': '#005fb8', 'panel-border': '#e5e5e5',
  'button-background': '#005fb8', 'button-hoverBackground': '#0258a8', 'button-secondaryBackground': '#e5e5e5', 'button-secondaryForeground': '#3b3b3b', 'button-secondaryHoverBackground': '#cccccc', 'button-border': '#0000001a',
  'input-background': '#ffffff', 'input-foreground': '#3b3b3b', 'input-border': '#cecece', 'input-placeholderForeground': '#767676', 'dropdown-background': '#ffffff', 'dropdown-border': '#cecece',
  'dropdown-foreground': '#3b3b3b', 'checkbox-background': '#f8f8f8', 'checkbox-border': '#cecece', 'checkbox-foreground': '#3b3b3b', 'list-hoverBackground': '#f2f2f2', 'list-activeSelectionBackground': '#e8e8e8',
  'list-activeSelectionForeground': '#000000', 'list-inactiveSelectionBackground': '#e4e6f1', 'textLink-foreground': '#005fb8', 'textLink-activeForeground': '#005fb8', 'progressBar-background': '#005fb8',
  'editorHoverWidget-background': '#f8f8f8', 'editorHoverWidget-foreground': '#3b3b3b', 'editorHoverWidget-border': '#c8c8c8', 'widget-shadow': '#00000029', 'editorWarning-foreground': '#bf8803',
  'charts-blue': '#0063d3', 'charts-orange': '#d18616', 'charts-green': '#388a34', 'charts-purple': '#652d90', 'charts-red': '#e51400', 'charts-yellow': '#bf8803',
  'inputValidation-errorBackground': '#f2dede', 'inputValidation-infoBackground': '#d6ecf2', 'scrollbarSlider-background': '#64646466', 'editorWidget-background': '#f8f8f8', 'settings-dropdownListBorder': '#cecece',
  'panelTitle-activeForeground': '#3b3b3b', 'panelTitle-inactiveForeground': '#3b3b3b',
};
const hc = {
  ...dark, 'foreground': '#ffffff', 'descriptionForeground': '#ffffffb3', 'editor-background': '#000000', 'editor-foreground': '#ffffff', 'focusBorder': '#f38518', 'contrastBorder': '#6fc3df', 'contrastActiveBorder': '#f38518',
  'panel-border': '#6fc3df', 'button-background': '', 'button-foreground': '#ffffff', 'button-border': '#6fc3df', 'button-secondaryForeground': '#ffffff', 'button-hoverBackground': '', 'button-secondaryBackground': '', 'button-secondaryHoverBackground': '',
  'input-background': '#000000', 'input-foreground': '#ffffff', 'input-border': '#6fc3df', 'dropdown-background': '#000000', 'dropdown-border': '#6fc3df', 'dropdown-foreground': '#ffffff', 'checkbox-background': '#000000', 'checkbox-border': '#6fc3df', 'checkbox-foreground': '#ffffff',
  'list-hoverBackground': '#ffffff1a', 'list-activeSelectionBackground': '', 'list-activeSelectionForeground': '#ffffff', 'list-inactiveSelectionBackground': '', 'textLink-foreground': '#21a6ff', 'textLink-activeForeground': '#21a6ff',
  'progressBar-background': '#6fc3df', 'editorHoverWidget-background': '#0c141f', 'editorHoverWidget-foreground': '#ffffff', 'editorHoverWidget-border': '#6fc3df', 'editorWarning-foreground': '#ffd370',
  'charts-blue': '#59a4f9', 'charts-green': '#89d185', 'charts-purple': '#b180d7', 'inputValidation-errorBackground': '#000000', 'inputValidation-infoBackground': '#000000', 'widget-shadow': '',
};
const kinds = { dark: ['vscode-dark', dark], light: ['vscode-light', light], hc: ['vscode-high-contrast', hc] };

/** @returns {{ className: string, css: string }} */
export function theme(name) {
  const [className, variables] = kinds[name] ?? kinds.dark;
  const css = Object.entries({ ...fonts, ...variables }).filter(([, value]) => value !== '').map(([key, value]) => `--vscode-${key}: ${value};`).join('\n');
  return { className, css };
}
